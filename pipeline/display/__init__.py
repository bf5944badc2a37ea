"""Display: image grids, figures and HTML pages."""
