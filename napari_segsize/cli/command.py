"""Turn a function into a command: options from a config's fields, `--json`, errors as sentences."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

import typer
import typer.core

from ..engine.option import settings
from ..errors import SegsizeError
from .settings_file import read_settings

if TYPE_CHECKING:
    from .output import Output

__all__ = ["EXIT_STOPPED", "EXIT_USER", "ProjectPath", "app", "command", "configured"]

ConfigT = TypeVar("ConfigT")

EXIT_USER = 1  # something the user can mend; 2 is a wrong command line, as everywhere
EXIT_STOPPED = 130  # 128 + SIGINT, as shells count

_SHOWN = (
    "demo", "run", "new", "add", "split", "info", "relink", "import-sizes", "import-masks",
    "import-contours", "pretrain", "finetune", "evaluate", "predict", "use", "evolve", "finetune-contours",
    "finetune-levelsets", "refine", "train-alignment", "train-edges", "edges", "losses", "loss",
)  # fmt: skip
"""Commands in the order of a project's life; those that are not named here come last, by name."""


class _InOrder(typer.core.TyperGroup):
    """Lists commands in the order in which they are needed, whatever file they are written in."""

    def list_commands(self, _ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer's own
        """Names of the commands."""
        last = len(_SHOWN)
        return sorted(self.commands, key=lambda name: (_SHOWN.index(name) if name in _SHOWN else last, name))


app = typer.Typer(
    name="segsize",
    cls=_InOrder,
    help="Learn to segment from object sizes: few masks, many sizes, one network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)

ProjectPath = Annotated[
    Path, typer.Argument(metavar="PROJECT", help="folder of the project, or its project.segsize file")
]
_JSON_HELP = "one JSON event or result per line on stdout, and nothing else there"
_FILE_HELP = "settings from a TOML or JSON file, by the names of the options, which win over it"
_ORDER = inspect.Parameter.KEYWORD_ONLY


def command(
    name: str | None = None,
    *,
    config: type[Any] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command of `app`.

    The function's first parameter, ``out``, is where it reports; with `config` the second one is
    ``config``, built from the generated options and the file behind ``--config``, or ``given``, those of them
    that stand on the command line or in the file. The command line wins.

    Parameters
    ----------
    name : str, optional
        Name of the command; default: the function's, with dashes.
    config : dataclass, optional
        Every field becomes an option with its default, range, choices and help text.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function)
        own = [parameter for parameter in signature.parameters.values() if parameter.name not in _INJECTED]
        settings = _parameters(config) if config is not None else []

        @functools.wraps(function)
        def run(ctx: typer.Context, json_lines: bool, **values: Any) -> None:
            with _exit_codes(json_lines) as out:
                if config is not None:
                    file = values.pop("settings_file")
                    given = _given(ctx, values, config)
                    if file is not None:
                        given = read_settings(file, config) | given
                    if "given" in signature.parameters:
                        values["given"] = given
                    else:
                        values["config"] = configured(config, given)
                function(out, **values)

        parameters = [
            _context(),
            *(p.replace(kind=_ORDER) for p in own),
            *settings,
            *_file_of(config),
            _json_flag(),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__dict__["__wrapped__"]  # typer would read the hints of the function behind
        # in whole: left to itself, the list of commands cuts the line off
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        app.command(name or function.__name__.replace("_", "-"), short_help=summary)(run)
        return function

    return register


_INJECTED = ("out", "config", "given")


def _context() -> inspect.Parameter:
    return inspect.Parameter("ctx", _ORDER, annotation=typer.Context)


def _file_of(config: type[Any] | None) -> tuple[inspect.Parameter, ...]:
    """The option that names a file of settings, for commands that have some."""
    if config is None:
        return ()
    annotation = Annotated[Path | None, typer.Option("--config", metavar="FILE", help=_FILE_HELP)]
    return (inspect.Parameter("settings_file", _ORDER, default=None, annotation=annotation),)


def _json_flag() -> inspect.Parameter:
    annotation = Annotated[bool, typer.Option("--json", help=_JSON_HELP)]
    return inspect.Parameter("json_lines", _ORDER, default=False, annotation=annotation)


def _parameters(config: type[Any]) -> list[inspect.Parameter]:
    """One keyword parameter for each field of the config: typer makes the options of them."""
    hints = get_type_hints(config)
    return [
        inspect.Parameter(
            item.name, _ORDER, default=item.default, annotation=Annotated[_kind(item, hints), _option(item)]
        )
        for item in settings(config)
    ]


def _kind(item: Field[Any], hints: dict[str, Any]) -> Any:
    choices = item.metadata["choices"]
    return Literal[choices] if choices else hints[item.name]


def _option(item: Field[Any]) -> Any:
    flag, meta = item.name.replace("_", "-"), item.metadata
    names = f"--{flag}/--no-{flag}" if isinstance(item.default, bool) else f"--{flag}"
    unit = f" [{meta['unit']}]" if meta["unit"] else ""
    return typer.Option(names, help=meta["help"] + unit, min=meta["min"], max=meta["max"])


def _given(ctx: typer.Context, values: dict[str, Any], config: type[Any]) -> dict[str, Any]:
    """Take the config's settings out of `values`; return those that stand on the command line."""
    options = {item.name: values.pop(item.name) for item in fields(config)}
    return {name: value for name, value in options.items() if _was_given(ctx, name)}


def _was_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def configured(build: Callable[..., ConfigT], given: Mapping[str, Any]) -> ConfigT:
    """Make a config of the options that were given; what it refuses is a wrong command line."""
    try:
        return build(**given)
    except ValueError as error:  # a combination of settings that only the config itself can judge
        raise typer.BadParameter(str(error)) from error


@contextmanager
def _exit_codes(json_lines: bool) -> Iterator[Output]:
    """Errors a user can mend become one sentence and exit code 1; an abort becomes 130."""
    from .output import JsonLines, Silent, Terminal

    leading = os.environ.get("RANK", "0") == "0"  # under torchrun one process speaks
    out: Output = (JsonLines(sys.stdout) if json_lines else Terminal()) if leading else Silent()
    try:
        yield out
    except SegsizeError as error:
        out.error(str(error))
        raise typer.Exit(EXIT_USER) from None
    except OSError as error:  # a full disk, a folder without permission: the system's own words name the file
        out.error(str(error))
        raise typer.Exit(EXIT_USER) from None
    except KeyboardInterrupt:
        out.error("Aborted.")
        raise typer.Exit(EXIT_STOPPED) from None
    finally:
        out.close()
