"""Images, films and cameras in; films and pictures out."""
