# SPDX-License-Identifier: Apache-2.0
"""`savedmodel completion SHELL`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from savedmodel.cli._main import COMPLETE


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and paths in SHELL.

    Add the line below to ~/.bashrc, or to ~/.zshrc with zsh for bash. For fish, write the script to
    ~/.config/fish/completions/savedmodel.fish.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "savedmodel", COMPLETE).source())
