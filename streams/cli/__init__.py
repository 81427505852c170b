"""The command `labelloop`: one module for each group of commands, loaded when it is used."""

import importlib
import sys

import click

from streams.errors import LabelloopError
from streams.terminal import printable_lines

_COMMANDS = {
    "up": "stack",
    "down": "stack",
    "status": "stack",
    "worker": "worker",
    "import": "publish",
    "publish": "publish",
    "project": "project",
    "queue": "review",
    "take": "review",
    "renew": "review",
    "release": "review",
    "skip": "review",
    "correct": "review",
    "confirm": "review",
    "undo": "review",
    "unsure": "review",
    "show": "review",
    "sql": "read",
    "export": "read",
    "history": "replay",
    "state": "replay",
    "whatif": "replay",
    "agreement": "agreement",
    "snapshot": "snapshot",
    "model": "model",
    "inbox": "inbox",
    "people": "people",
    "forget": "people",
    "dlq": "dlq",
    "audit": "audit",
    "report": "read",
    "wait": "read",
    "settle": "read",
    "backup": "backup",
    "restore": "backup",
    "migrate": "upgrade",
    "refold": "upgrade",
    "rebuild": "rebuild",
    "plan": "plan",
    "simulate-review": "simulate",
    "demo": "demo",
    "schemas": "schemas",
}
"""Command name to module of this package; its click command is the attribute of the same name, `-` as `_`."""


class _Lazy(click.Group):
    """Imports a command's module when the command is named, so that `--help` and short commands start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        attribute = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"streams.cli.{module}"), attribute)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="labelloop")
def _labelloop() -> None:
    """labelloop: the streaming backbone of a data-annotation feedback loop.

    \b
    Start here:
      labelloop up --detach                              start Kafka, ClickHouse and the workers
      labelloop import labels labels.jsonl --project P   publish labels
      labelloop queue --project P                        what to review next
      labelloop sql "SELECT * FROM annotator_accuracy_daily"
    """


def main() -> None:
    """Run the command line; failures meant for people end with one line and a status above 0."""
    try:
        _labelloop.main(prog_name="labelloop", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LabelloopError as error:
        click.echo(f"labelloop: {printable_lines(str(error))}", err=True)
        sys.exit(error.status)
