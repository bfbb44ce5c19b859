"""What is measured of synthetic images: likeness, copies, kept classes, gaps that they fill."""
