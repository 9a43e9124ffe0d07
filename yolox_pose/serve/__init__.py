"""A local web page that shows the poses of dropped images, with the standard library's web server."""
