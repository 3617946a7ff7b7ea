"""From a project's own build to one reproducible bundle, offline.

A `BuildRequest` (`build_protocol`) goes to `build`, which decides by a `strategy` where the builder
runs: in this process, through Hatch, or in an environment of its own (`isolated`). There
`hatchling` proposes what ships (its wheel, unpacked by `wheel`, or the tree); the `selector`, the
`guard` and the `repository` keep back what must not; `files` settles what the bundle holds, with
the `companions` of the entrypoint: all of it is one value, `SelectedFiles`. `render` says what a
document needs and renders a notebook; `assemble` adds `path_dependencies`, `packages` and the
`manifest`; `archive` writes it all.

`bundle` has the result, a `Bundle`; it opens one again, or packs a folder made elsewhere.
`artifact` describes files that stay where they are.
"""
