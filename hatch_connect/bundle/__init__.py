"""From a project's own build to one reproducible bundle, offline.

A `BuildRequest` goes to `run.build`, which decides where the builder runs (`place`): in this
process, through Hatch, or in an environment of its own (`isolated`, told by `exchange`). There
`selection` asks Hatchling what ships (its wheel, unpacked by `wheel`, or the `tree`); `content`,
`guard` (`secret_files`) and `ignored` keep back what must not; `additions` brings what the project
names; `shipped` settles what the bundle holds. `quarto` says what a document needs, `notebook`
renders one; `assemble` adds the `packages` and the manifest (`describe`); `archive` writes it all
(`packing`).

Read again, a bundle is checked by `checking`; a folder made elsewhere is packed by `prepared`.
`in_place` and `artifact` describe files that stay where they are.
"""
