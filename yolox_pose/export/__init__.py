"""Models to formats that run without torch. Each format is a module with a ``write`` function, imported when it is used."""
