"""Times hatch-connect and rsconnect-python side by side: `hatch run bench`."""
