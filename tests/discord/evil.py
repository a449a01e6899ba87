"""Text that would be more than read in Discord, if it were let."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st

EVIL = (
    "@everyone",
    "@here @HERE @Everyone",
    "<@1> <@!2> <@&900> <#500>",
    "</resume:123456789012345678> <id:customize>",
    "<t:1700000000:R>",
    "<:smile:123456789012345678> <a:wave:123456789012345678>",
    ":smile: :skull: a:x:b",
    "[click](https://evil.example)",
    "[click](<https://evil.example> 'hm')",
    "<https://evil.example>",
    "https://evil.example/a?b=c&d=e",
    "see HTTP://evil.example, or (ftp://evil.example)",
    "discord.gg/abcdef and discord.com/invite/abcdef",
    "steam://open discord://-/channels/@me",
    "*bold* **bold** _it_ __under__ ~~gone~~ `code` ||spoiler||",
    "snake_case_name *",
    "```\nblock\n```",
    "```py\nblock",
    "````",
    "`` ` ``",
    "# big\n## less\n### small",
    "-# tiny",
    "> quoted\n>>> all of it\nand this",
    "- one\n  - two\n* three\n+ four",
    "1. one\n22. two\n3) three",
    " \n \n# late",
    "\\*not bold\\* \\\\",
    "\\",
    "\\\\\\",
    "trailing \\",
    "\u202egnp.exe\u2066hidden\u2069",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 a\u200bb\ufeffc",
    "htt\u200bps://evil.example <\u200b@1> @\u200beveryone",
    "one\r\ntwo\n\nthree\ttab",
    "\x00\x07\x1b[31m\x7f\x9b",
    "\ud800",
    "\u00af\\_(\u30c4)_/\u00af",
    "",
    "   ",
    "\u200b",
    "x" * 5_000,
    "<" * 5_000,
    "`" * 5_000,
    "\\" * 5_000,
    "\n" * 300,
    "1.\n" * 2_000,
    "https://e.example " * 300,
    "@everyone " * 500,
    "\U0001f600" * 5_000,
)
PIECES = [*"<>@!#&|*_`~:/\\-+.()[] \n1", "everyone", "here", "https", "www.", "```", *EVIL[:30]]
text = st.one_of(
    st.sampled_from(EVIL),
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES)).map("".join),
)
some = settings(max_examples=60, deadline=None)
corpus = pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
