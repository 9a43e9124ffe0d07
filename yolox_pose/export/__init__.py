"""Export models to formats that run without torch. Each format is a module with a ``write`` function, imported on use."""
