"""All that this server answers of Connect's API."""

from __future__ import annotations

from hatch_connect.local.api import (
    bundles,
    content,
    declared,
    deployments,
    oauth,
    server,
    tags,
    thumbnails,
    vanity,
)

ROUTES = (
    server.SETTINGS,
    *server.ROUTES,
    *content.ROUTES,
    *declared.ROUTES,
    *tags.ROUTES,
    *vanity.ROUTES,
    *thumbnails.ROUTES,
    *oauth.ROUTES,
    *bundles.ROUTES,
    *deployments.ROUTES,
)
