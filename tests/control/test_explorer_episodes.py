"""The order of an exploration that is recorded, without ROS: every episode that was begun is closed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from world4rl_control.explorer_episodes import EpisodePlan, ExplorerEpisodes, Phase
from world4rl_data.episode import Outcome


def test_each_episode_is_home_record_act_close():
    run = ExplorerEpisodes(EpisodePlan(episodes=2, seconds=10.0))
    assert run.begin(0.0) == "reset" and not run.acting
    assert run.answered(True, "", 2.0) == "start"
    assert run.answered(True, "", 3.0) == "" and run.acting
    assert run.tick(12.9) == "" and run.begin(12.9) == ""
    assert run.tick(13.1) == "stop" and run.outcome == Outcome.UNLABELLED and not run.acting
    assert run.answered(True, "", 14.0) == "reset"
    run.answered(True, "", 15.0)
    run.answered(True, "", 16.0)
    assert run.tick(26.1) == "stop"
    assert run.answered(True, "", 27.0) == ""
    assert run.phase is Phase.IDLE and run.message == "2 episodes recorded"


def test_without_episodes_it_acts_until_it_is_told_to_end():
    run = ExplorerEpisodes(EpisodePlan())
    assert run.begin(0.0) == "" and run.acting and run.tick(1e6, "a gate that is disabled holds anyway") == ""
    assert run.end("disabled on request") == "" and run.phase is Phase.IDLE


def test_ending_closes_the_running_episode_as_interrupted():
    run = ExplorerEpisodes(EpisodePlan(episodes=5, reset=False))
    assert run.begin(0.0) == "start"
    assert run.end("enough") == "", "the recorder has not answered yet"
    assert run.answered(True, "", 1.0) == "stop" and run.outcome == Outcome.INTERRUPTED
    assert run.answered(True, "", 2.0) == "" and run.message == "enough"


def test_a_gate_that_is_disabled_ends_the_run_and_says_why():
    run = ExplorerEpisodes(EpisodePlan(episodes=5, reset=False))
    run.begin(0.0)
    run.answered(True, "", 1.0)
    assert run.tick(2.0, "the robot is in mode 4 (reflex)") == "stop" and run.outcome == Outcome.INTERRUPTED
    assert run.answered(True, "", 3.0) == "" and "reflex" in run.message


def test_a_refused_service_ends_the_run_with_its_message():
    run = ExplorerEpisodes(EpisodePlan(episodes=5))
    run.begin(0.0)
    assert run.answered(False, "enable it first", 1.0) == ""
    assert run.phase is Phase.IDLE and run.message == "moving home failed: enable it first"


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(st.tuples(st.sampled_from(["begin", "end", "tick", "yes", "no", "fault"]), st.floats(0, 9)), max_size=60)
)
def test_whatever_happens_stop_follows_start_and_actions_lie_between(steps):
    run, now_s, waiting, recording = ExplorerEpisodes(EpisodePlan(3, 10.0)), 0.0, "", False
    for step, wait_s in steps:
        now_s += wait_s
        if step in ("yes", "no"):
            if not waiting:
                continue
            recording = recording != (step == "yes" and waiting in ("start", "stop"))
            asked, waiting = run.answered(step == "yes", step, now_s), ""
        elif step == "begin":
            if run.phase is Phase.IDLE and recording:
                recording = False  # a stop that was refused: the recorder had closed it by itself
            asked = run.begin(now_s)
        else:
            asked = run.end("x") if step == "end" else run.tick(now_s, "x" if step == "fault" else "")
        assert not (asked and waiting), "one question at a time"
        assert asked != "start" or not recording
        assert asked != "stop" or recording
        waiting = asked or waiting
        assert run.acting == (recording and not waiting and run.phase is Phase.ACT)
        assert (run.phase in (Phase.RESET, Phase.START, Phase.STOP)) == bool(waiting)
