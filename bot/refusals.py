"""What the web says to a request that is refused before any command is looked at."""

from bot.words import clean, quoted


def no_token() -> str:
    """A request without a token that opens anything."""
    return (
        "No valid token came with that request. Nothing changed. Send one as Authorization: Bearer"
        " TOKEN; baton token create NAME --role ROLE makes it."
    )


def no_such_page() -> str:
    """A page of a list that was never offered."""
    return "There is no such page. Take `next` of the page before as `after`."


def bad_request(where: str, what: str) -> str:
    """Something in a request cannot be used."""
    return f"{where}: {what}. Nothing changed."


def no_text() -> str:
    """Something that no text can have, and no database takes."""
    return "There is a NUL character in that, which no text has. Nothing changed."


def not_done() -> str:
    """Above the words about a form that was none of ours."""
    return "Not done"


def odd_characters() -> str:
    """A text that is not what can stand in its place."""
    return "it has characters that cannot stand there"


def no_json(what: str) -> str:
    """A body that cannot be read."""
    return f"The body is no JSON that can be used: {what}. Nothing changed."


def no_object() -> str:
    """A body of another kind than the one that is expected."""
    return (
        "The body has to be a JSON object, sent with Content-Type: application/json. Nothing"
        " changed."
    )


def unreadable() -> str:
    """A body that is nothing of what was expected."""
    return "The body cannot be read. Nothing changed."


def key_twice(key: str) -> str:
    """An object of a body names one thing twice, so that nobody knows which one counts."""
    return f"the key {quoted(clean(key, len(key)))} is there twice"


def body_too_large(limit: int) -> str:
    """More than Baton reads."""
    return f"The body is larger than {limit // 1024} KiB, so I did not read it. Nothing changed."


def unknown_host() -> str:
    """A request under a name that is not ours: perhaps another site's, pointed at this machine."""
    return "I am not called that here: server.public_url says under which address I am reached."


def foreign_origin() -> str:
    """A browser sends something on behalf of another site."""
    return "That came from another site, so I did not do it. Nothing changed."


def opens_nothing() -> str:
    """A failed sign-in."""
    return (
        "That opens nothing: it was revoked or used up, or mistyped. Ask for a new token, or take"
        " the link that the newest start printed."
    )


def too_many_sign_ins() -> str:
    """Somebody tries one token after another."""
    return "Too many failed attempts from your address. Wait a minute, then try again."


def too_many_streams() -> str:
    """Whoever wants to hear of changes, where enough do."""
    return "Too many streams of events are open. Close some that you have, or wait for others."


def signed_out() -> str:
    """A session has come to its end."""
    return "You are signed out. Nothing changed; sign in again."


def no_such_address() -> str:
    """Nothing has this address."""
    return "There is nothing at this address."


def no_such_method() -> str:
    """An address is asked in a way that it does not take."""
    return "This address does not take that method. Nothing changed."
