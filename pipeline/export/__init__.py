"""Export stage: meshes, layered representations, videos and the 3D viewer."""
