"""What people are told where it is Baton that failed, or its database, or too much is going on."""


def busy() -> str:
    """Too many are waiting, or the database stayed locked."""
    return "Too much is going on here right now. Nothing changed; ask again in a moment."


def database_fault(reason: str, reference: str) -> str:
    """The database could not be used."""
    return (
        f"The database cannot be used at the moment: {reason}. Nothing changed; ask again once"
        f" that is mended. The log has more under {reference}."
    )


def database_lost(reason: str, reference: str) -> str:
    """The database went away in the middle of a commit, and did not come back to tell."""
    return (
        f"Nobody can say yet whether this was done: the database has a fault, {reason}. Look at the"
        f" status once it is back, before you ask again. The log has more under {reference}."
    )


def unexpected(reference: str) -> str:
    """Something broke that should not."""
    return (
        "Something went wrong on my side. Nothing changed. The log has the details under"
        f" {reference}."
    )


def restarted() -> str:
    """A delivery was received before a crash, too long ago to be carried out unseen."""
    return "Baton restarted before it could do that; nothing changed. Please ask again."


def delivered_late() -> str:
    """The platform brought a command long after it was given; its author has given it up."""
    return "That reached Baton too late, and it did nothing; nothing changed. Please ask again."
