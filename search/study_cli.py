"""The commands about studies that exist: what can be typed. Each one hands over to a module of its own."""

from pathlib import Path
from typing import Annotated

import typer

from search import options
from search.exit_codes import EXIT_CODES, exit_on_error

studies = typer.Typer(rich_markup_mode="rich")


@studies.command(epilog=EXIT_CODES)
def trials(
    study: options.StudyArgument,
    csv: Annotated[bool, typer.Option("--csv", help="Write all values as CSV to standard output.")] = False,
    output: options.Output = Path("runs"),
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """List the trials of a study.

    Example

        search trials digits --csv > trials.csv
    """
    with exit_on_error(debug):
        from search.commands.trials import list_trials

        list_trials(study, output, storage, as_csv=csv)


@studies.command(epilog=EXIT_CODES)
def status(
    study: options.OptionalStudyArgument = None,
    output: options.Output = Path("runs"),
    storage: options.Storage = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show how a study stands: workers, trials, pace, time left, best; or list all studies. Writes nothing.

    Example

        search status digits
    """
    with exit_on_error(debug):
        from search.commands.status import show_status

        show_status(study, output, storage, as_json=json)


@studies.command(epilog=EXIT_CODES)
def workers(
    study: options.StudyArgument,
    all: Annotated[bool, typer.Option("--all", help="Also those that have ended in good order.")] = False,
    output: options.Output = Path("runs"),
    storage: options.Storage = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List who works on a study, on whatever machine, and who was lost. Writes nothing.

    Example

        search workers digits
    """
    with exit_on_error(debug):
        from search.commands.workers import list_workers

        list_workers(study, output, storage, ended=all, as_json=json)


@studies.command(epilog=EXIT_CODES)
def stop(
    study: options.StudyArgument,
    wait: options.Wait = "30s",
    no_wait: options.NoWait = False,
    output: options.Output = Path("runs"),
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Ask all workers of a study to end, wherever they are, and wait until they have.

    Each one finishes its step and hands its trial back. Ends with 0 when none is alive any more, or at once with
    --no-wait, and with 6 when some have not ended within --wait.

    Example

        search stop digits --wait 2m
    """
    with exit_on_error(debug):
        from search.commands.stop import stop_study
        from studies.units import seconds

        stop_study(study, output, storage, wait_seconds=0 if no_wait else seconds(wait))


@studies.command(epilog=EXIT_CODES)
def delete(
    study: options.StudyArgument,
    yes: options.Yes = False,
    output: options.Output = Path("runs"),
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Delete a study and its files, after confirmation.

    Deletes its trials from the database, its checkpoints, its exported model and its logs. Keeps other studies in the
    same database, files that search did not write, and the image cache. Refuses while workers are running.

    Example

        search delete digits --yes
    """
    with exit_on_error(debug):
        from search.commands.delete import delete_study

        delete_study(study, output, storage, is_confirmed=yes)


@studies.command(epilog=EXIT_CODES)
def resume(
    context: typer.Context,
    study: options.StudyArgument,
    trials: options.TrialsChange = None,
    timeout: options.Timeout = None,
    output: options.Output = Path("runs"),
    storage: options.Storage = None,
    no_export: options.NoExport = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Go on with a study as it was started, from the space file it was started with.

    While others work on it, more trials are for all of them, and this process is one more worker.

    Example

        search resume digits --trials +50
    """
    with exit_on_error(debug):
        from search.commands.resume import ResumeOptions
        from search.commands.resume import resume as resume_study

        given = {"timeout": timeout, "storage": storage}
        settings = {name: value for name, value in given.items() if value is not None}
        wanted = ResumeOptions(trials, settings, output, export=not no_export)
        raise typer.Exit(resume_study(study, wanted, quiet=quiet, debug=debug, started=context.obj))
