"""Coarser meshes for small pictures: what is finer than a pixel only costs time."""

from __future__ import annotations

from typing import Any

import numpy as np


def coarsen(model: Any, cell_m: float, from_faces: int = 1000) -> None:
    """Draw every mesh of `from_faces` triangles or more as if its vertices lay on a grid of `cell_m` [m].

    Triangles that vanish are left out, vertices stay where they are: only what is drawn changes, for physics looks at
    convex hulls. To be called before the first picture: OpenGL takes the meshes over when its context is made.
    """
    for mesh in np.flatnonzero(model.mesh_facenum >= from_faces):
        vertices = _part(model.mesh_vert, model.mesh_vertadr[mesh], model.mesh_vertnum[mesh])
        faces = _part(model.mesh_face, model.mesh_faceadr[mesh], model.mesh_facenum[mesh])
        normals = _part(model.mesh_facenormal, model.mesh_faceadr[mesh], model.mesh_facenum[mesh])
        _, first, cell = np.unique(np.round(vertices / cell_m), axis=0, return_index=True, return_inverse=True)
        drawn = first[cell.reshape(-1)][faces].astype(faces.dtype)
        a, b, c = drawn.T
        kept = np.flatnonzero((a != b) & (b != c) & (c != a))
        kept = kept[np.unique(np.sort(drawn[kept], axis=1), axis=0, return_index=True)[1]]  # each triangle once
        faces[: len(kept)], normals[: len(kept)] = drawn[kept], normals[kept]
        model.mesh_facenum[mesh] = len(kept)


def _part(values: Any, first: int, count: int) -> np.ndarray:
    """Rows of one mesh, as a view."""
    part: np.ndarray = values[first : first + count]
    return part
