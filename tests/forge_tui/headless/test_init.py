"""`init`: what it writes, and what it never touches."""

from __future__ import annotations

from pathlib import Path

from engine.job_file import load_job
from engine.project import Project, find_project
from forge_tui.new_project import starter_folder
from tests.forge_tui.headless.conftest import Call


def test_a_new_project_is_complete(call: Call, tmp_path: Path) -> None:
    done = call(tmp_path, "init", "fresh")
    assert done.code == 0, done.err
    project = Project(tmp_path / "fresh")
    written = sorted(str(path.relative_to(tmp_path)) for path in project.root.rglob("*") if path.is_file())
    assert sorted(done.out.splitlines()) == written
    assert {"fresh/forge.toml", "fresh/models/README.md", "fresh/data/combined_action_training.txt"} <= set(written)
    assert len([name for name in written if name.endswith(".txt")]) == 7
    assert "Next: cd fresh && forge-tui --batch forge.toml" in done.err
    job = load_job(project.job_file)
    assert (job.model.name, job.model.size) == ("sacrifice", "nano")
    assert all((project.root / file.path).is_file() for file in job.all_files)
    assert find_project(project.data) == project


def test_what_is_there_stays(call: Call, tmp_path: Path) -> None:
    (tmp_path / "forge.toml").write_text("# mine\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "simple_qa.txt").symlink_to("nowhere")
    done = call(tmp_path, "init")
    assert done.code == 0
    assert (tmp_path / "forge.toml").read_text() == "# mine\n"
    assert (tmp_path / "data" / "simple_qa.txt").is_symlink()
    assert "forge.toml" not in done.out and "simple_qa.txt" not in done.out and "data/reasoning.txt" in done.out
    again = call(tmp_path, "init")
    assert again.code == 0 and again.out == "" and "nothing was written" in again.err


def test_a_file_in_the_way(call: Call, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    done = call(tmp_path, "init", "taken")
    assert done.code == 1 and "taken" in done.message
    assert (tmp_path / "taken").read_text() == "x"


def test_the_starter_files_are_those_of_the_source(tmp_path: Path) -> None:
    source = starter_folder()
    assert (source / "forge.toml").is_file() and (source / "models" / "README.md").is_file()
