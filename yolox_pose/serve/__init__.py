"""A local web page that shows the poses of uploaded images, served by the standard library."""
