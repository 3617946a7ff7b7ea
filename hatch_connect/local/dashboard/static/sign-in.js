"use strict";
// Whoever has signed in elsewhere comes back to this page, and wants what it was opened for.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") location.reload();
});
