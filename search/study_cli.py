"""The commands for existing studies, their arguments and options. Each command calls a module in `search/commands/`."""

from pathlib import Path
from typing import Annotated

import typer

from search import options
from search.exit_codes import EXIT_CODES, exit_on_error

studies = typer.Typer(rich_markup_mode="rich")


@studies.command(epilog=EXIT_CODES)
def trials(
    study: options.StudyArgument,
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV with all values to standard output.")] = False,
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
    """Show a study's workers, trials, throughput, time left and best result, or list all studies. Read-only.

    Example

        search status digits
    """
    with exit_on_error(debug):
        from search.commands.status import show_status

        show_status(study, output, storage, as_json=json)


@studies.command(epilog=EXIT_CODES)
def workers(
    study: options.StudyArgument,
    include_ended: options.IncludeEnded = False,
    all: options.OldIncludeEnded = False,
    output: options.Output = Path("runs"),
    storage: options.Storage = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List a study's workers on all machines, including lost ones. Read-only.

    Example

        search workers digits
    """
    with exit_on_error(debug):
        from search.commands.workers import list_workers

        list_workers(study, output, storage, include_ended=include_ended or all, as_json=json)


@studies.command(epilog=EXIT_CODES)
def stop(
    study: options.StudyArgument,
    wait: options.Wait = "30s",
    no_wait: options.NoWait = False,
    output: options.Output = Path("runs"),
    storage: options.Storage = None,
    debug: options.Debug = False,
) -> None:
    """Stop all workers of a study and wait for them to finish.

    Each worker completes its current step and returns its trial to the queue. Exits with 0 once no worker is running
    (immediately with --no-wait), or 6 if some are still running after --wait.

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

    Deletes the study's trials, checkpoints, exported model and logs. Keeps other studies in the same database, files
    that search did not write, and the image cache. Refuses while workers are running.

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
    """Resume a study with its original space file and settings.

    If workers are running, --trials raises the limit for all of them and this process joins as another worker.

    Example

        search resume digits --trials +50
    """
    with exit_on_error(debug):
        from search.commands.resume import ResumeOptions
        from search.commands.resume import resume as resume_study

        typed = {"timeout": timeout, "storage": storage}
        settings = {name: value for name, value in typed.items() if value is not None}
        changes = ResumeOptions(trials, settings, output, export=not no_export)
        raise typer.Exit(resume_study(study, changes, quiet=quiet, debug=debug, started=context.obj))
