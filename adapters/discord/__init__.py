"""Discord: app commands, mentions, buttons, threads and live cards, on discord.py."""
