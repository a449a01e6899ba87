"""Slack: slash commands, mentions, direct messages, buttons and a shortcut, over slack-bolt."""
