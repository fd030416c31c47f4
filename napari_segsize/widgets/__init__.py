"""The dock widget: the only folder that knows there is a window."""
