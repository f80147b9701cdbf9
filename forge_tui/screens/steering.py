"""The keys that steer a run: start, go on, pause, stop, save, learning rate, sample, advice."""

from __future__ import annotations

from forge_tui import figures, run_control
from forge_tui.access import app_of
from forge_tui.outcome import CONTINUES, FIXES, current_advice
from forge_tui.run_view import RunView
from forge_tui.screens.base import ForgeScreen


class SteeringScreen(ForgeScreen):
    """A screen that watches `app.view` and sends it commands; every refusal says why."""

    def __init__(self) -> None:
        super().__init__()
        self.starting = False
        """Whether a run is being prepared."""

    @property
    def view(self) -> RunView | None:
        """The watched run."""
        return app_of(self).view

    def show_starting(self) -> None:
        """`starting` has changed."""

    def show_samples(self) -> None:
        """A sample was asked for: show where it will appear."""

    def _steerable(self) -> RunView | None:
        """The watched run if it takes commands; else a word why not."""
        view = self.view
        if view is None:
            app_of(self).notify("No run is watched. Press enter to start one, or 6 to choose one.", severity="warning")
        elif not view.run.alive:
            app_of(self).notify("This run has ended.", severity="warning")
        else:
            return view
        return None

    def action_next(self) -> None:
        """Start, or go on."""
        app, view = app_of(self), self.view
        if view is None:
            self.begin()
        elif not view.run.alive and view.phase in CONTINUES:
            run_control.continue_run(app, view.folder)
            app.notify("Going on with it.", timeout=3)
        else:
            app.notify("There is nothing to go on with. n starts a new run.", timeout=3)

    def begin(self) -> None:
        """What `enter` does while no run is watched."""
        self.start_run()

    def start_run(self, *, force: bool = False) -> None:
        """Start the job of forge.toml."""
        if self.starting:
            return
        self._set_starting(True)
        run_control.start_job(app_of(self), force=force, settled=lambda: self._set_starting(False))

    def _set_starting(self, starting: bool) -> None:
        self.starting = starting
        self.show_starting()

    def action_pause(self) -> None:
        """Pause, or go on."""
        if view := self._steerable():
            run_control.send(app_of(self), view.folder, "resume" if view.phase == "paused" else "pause")

    def action_stop(self) -> None:
        """Finish the step, save, stop; again: at once."""
        if view := self._steerable():
            if view.phase == "stopping":
                self.action_stop_now()
                return
            run_control.send(app_of(self), view.folder, "stop")
            app_of(self).notify("It finishes the step, saves, and stops. enter goes on later.", timeout=5)

    def action_stop_now(self) -> None:
        """End the worker at once, after a question that says what is lost."""
        view = self._steerable()
        if view is None:
            return
        saved, at = view.run.state.checkpoint_step, view.digest.step.step if view.digest.step else view.run.state.step
        if saved is None:
            lost = "Nothing has been saved yet: all of it is lost."
        else:
            lost = f"It goes back to step {saved:,}, the last that was saved; {max(0, at - saved):,} steps are lost."
        from forge_tui.screens.confirm import Confirm

        def answer(yes: bool | None) -> None:
            if yes:
                run_control.send(app_of(self), view.folder, "stop_now")

        question = f"Stop {view.run.state.model} at once, without saving?"
        app_of(self).push_screen(Confirm(question, detail=lost, yes="Stop now"), answer)

    def action_save(self) -> None:
        """Save a checkpoint now."""
        if view := self._steerable():
            run_control.send(app_of(self), view.folder, "save")

    def action_rate(self) -> None:
        """Ask for a learning rate."""
        view = self._steerable()
        if view is None:
            return
        from forge_tui.screens.ask import Ask

        now = view.digest.step.learning_rate if view.digest.step else None
        detail = f"Now {figures.rate(now)}. The schedule goes on from the new value." if now else ""

        def answer(text: str | None) -> None:
            if text:
                run_control.send(app_of(self), view.folder, "set_learning_rate", value=run_control.check_rate(text))

        app_of(self).push_screen(
            Ask("Learning rate", detail=detail, example="0.0005 or 5e-4", check=run_control.check_rate), answer
        )

    def action_sample(self) -> None:
        """Ask for a prompt and have it answered."""
        view = self._steerable()
        if view is None:
            return
        from forge_tui.screens.ask import Ask

        app = app_of(self)

        def answer(text: str | None) -> None:
            if text:
                app.remember_answer("sample.prompt", text)
                run_control.send(app, view.folder, "sample", prompt=text)
                self.show_samples()

        app.push_screen(
            Ask(
                "Sample a prompt", value=app.settings.answers.get("sample.prompt", "What is Python?"),
                check=run_control.check_prompt,
            ),
            answer,
        )  # fmt: skip

    def action_fix(self) -> None:
        """Do what the newest advice says."""
        view = self._steerable()
        if view is None:
            return
        advice = current_advice(view)
        if advice is None or advice.code not in FIXES:
            app_of(self).notify("There is no advice that a key could act on.", timeout=3)
            return
        _, command = FIXES[advice.code]
        rate = view.digest.step.learning_rate / 2 if view.digest.step else None
        run_control.send(app_of(self), view.folder, command, value=rate if command == "set_learning_rate" else None)

    def action_why(self) -> None:
        """All advice of this run."""
        if self.view is not None:
            from forge_tui.screens.advice import AdviceScreen

            app_of(self).push_screen(AdviceScreen(list(self.view.digest.advice)))

    def action_again(self) -> None:
        """A new run, whatever there was."""
        app = app_of(self)
        if self.view is not None and self.view.run.alive:
            app.notify("This run is still going. Stop it first (s).", severity="warning")
            return
        job = app.workspace.job_or_none() if app.workspace else None
        if job is None or app.project is None:
            self.action_next()
            return
        if job.train.method == "build" and (app.project.models / job.model.name / "config.json").exists():
            from forge_tui.screens.confirm import Confirm

            def answer(yes: bool | None) -> None:
                if yes:
                    self.start_run(force=True)

            detail = "The present model goes to the trash."
            app.push_screen(Confirm(f"Build models/{job.model.name} anew?", detail=detail, yes="Build"), answer)
            return
        self.start_run(force=True)

    def action_detach(self) -> None:
        """Stop watching; show all runs."""
        app = app_of(self)
        if app.view is not None and app.view.run.alive:
            app.notify(f"{app.view.run.state.model} goes on training.", timeout=4)
        app.unfollow()
        app.show_screen("runs")
