"""Errors that carry a sentence for whoever set Baton up."""


class ConfigurationError(Exception):
    """The configuration cannot be used; the sentence says which key and what to do."""


class SchemaError(Exception):
    """The database is of a Baton that this one does not understand."""
