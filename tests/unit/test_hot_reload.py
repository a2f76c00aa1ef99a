"""Hot reload as a library: no request is lost, every failure leaves the old worker serving, and the log tells all."""

import asyncio
import gc
import logging
import threading
import weakref

import pytest

from runbook.service.hot_reload import HotReloader, ReloadFailed, ReloadUnderWay, WorkerState


class Model:
    def __init__(self, name="m"):
        self.name = name


def started(*names, **options):
    """Give a reloader whose models bear these names, one after the other."""
    models = map(Model, names)
    reloader = HotReloader(lambda: next(models), **options)
    reloader.start()
    return reloader


def name_of(model):
    return model.name


class Held:
    """A request in a thread of its own that is at work until it is let go."""

    def __init__(self, reloader):
        self.at_work, self.go, self.answer = threading.Event(), threading.Event(), None
        self.thread = threading.Thread(target=self.run, args=[reloader])
        self.thread.start()
        assert self.at_work.wait(5)

    def run(self, reloader):
        self.answer = reloader.serve(self.slow_request)

    def slow_request(self, model):
        self.at_work.set()
        assert self.go.wait(5)
        return model.name

    def end(self):
        self.go.set()
        self.thread.join(5)


def test_requests_are_served_by_the_model_of_the_moment():
    reloader = started("a", "b")
    assert reloader.serve(name_of) == "a"
    done = reloader.reload()
    assert reloader.serve(name_of) == "b"
    assert (done.previous.worker_id, done.worker.worker_id) == ("worker-0", "worker-1")
    assert done.previous.state is WorkerState.STOPPED
    assert done.previous.served == 1
    assert reloader.current.state is WorkerState.READY
    assert done.switch_s < 1


def test_arguments_and_results_pass_through_and_exceptions_too():
    reloader = started("a")
    assert reloader.serve(lambda model, one, two: (model.name, one, two), 1, two=2) == ("a", 1, 2)
    with pytest.raises(ZeroDivisionError):
        reloader.serve(lambda _: 1 / 0)
    assert reloader.current.in_flight == 0


def test_coroutines_hold_their_worker_across_their_awaits():
    reloader = started("a", "b", drain_timeout=5)

    async def request(model, at_work, go):
        at_work.set()
        await go.wait()
        return model.name

    async def all_of_it():
        at_work, go = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(reloader.serve_async(request, at_work, go))
        await at_work.wait()
        reload = asyncio.create_task(asyncio.to_thread(reloader.reload))
        while reloader.current.worker_id == "worker-0":  # noqa: ASYNC110 - a thread sets no event of the loop
            await asyncio.sleep(0)
        go.set()
        return await first, (await reload).left, await reloader.serve_async(request, at_work, go)

    assert asyncio.run(all_of_it()) == ("a", (), "b")


def test_a_new_model_is_warmed_up_before_it_serves():
    warmed = []
    reloader = started("a", "b", warm_up=lambda model: warmed.append(model.name))
    reloader.reload()
    assert warmed == ["a"] * 5 + ["b"] * 5


def test_the_old_worker_ends_its_requests_before_it_stops():
    reloader = started("a", "b", drain_timeout=5)
    held = Held(reloader)
    reload = threading.Thread(target=reloader.reload)
    reload.start()
    while reloader.serve(name_of) == "a":
        pass
    assert reload.is_alive()
    held.end()
    reload.join(5)
    assert held.answer == "a"


def test_a_drain_that_takes_too_long_names_what_is_left_and_breaks_nothing(caplog):
    caplog.set_level(logging.INFO, "runbook.service")
    released = []
    reloader = started("a", "b", drain_timeout=0.01, release=released.append)
    held = Held(reloader)
    done = reloader.reload()
    assert len(done.left) == 1
    assert done.left[0].startswith("slow_request (")
    assert "drain timeout after 0.01 s (requests left: 1): slow_request" in caplog.text
    assert released == []
    held.end()
    assert held.answer == "a"
    assert [model.name for model in released] == ["a"]


def test_the_log_tells_it_in_order(caplog):
    caplog.set_level(logging.INFO, "runbook.service")
    reloader = started("a", "b")
    caplog.clear()
    reloader.reload()
    assert [record.getMessage() for record in caplog.records] == [
        "=== model reload: started ===",
        "[worker-1] load and warm-up: started",
        "[worker-1] load and warm-up: done",
        "traffic switched: worker-0 -> worker-1",
        "[worker-0] draining (in-flight: 0)",
        "[worker-0] drained",
        "[worker-0] stopped",
        "=== model reload: done ===",
    ]


def test_only_one_reload_at_a_time():
    loading, go = threading.Event(), threading.Event()

    def slow():
        loading.set()
        assert go.wait(5)
        return Model("b")

    reloader = started("a", "c")
    first = threading.Thread(target=reloader.reload, args=[slow])
    first.start()
    assert loading.wait(5)
    with pytest.raises(ReloadUnderWay):
        reloader.reload()
    assert reloader.serve(name_of) == "a"
    go.set()
    first.join(5)
    assert reloader.serve(name_of) == "b"


def failing(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [ValueError("torn"), MemoryError(), SystemExit(3), KeyboardInterrupt(), AssertionError()]
)
def test_a_load_that_fails_leaves_the_old_model_serving(error):
    reloader = started("a")
    with pytest.raises(ReloadFailed) as failed:
        reloader.reload(failing(error))
    assert failed.value.stage == "load"
    assert failed.value.__cause__ is error
    assert str(failed.value)
    assert reloader.serve(name_of) == "a"
    assert reloader.reload(lambda: Model("b")).worker.worker_id == "worker-2"


def test_a_warm_up_that_fails_leaves_the_old_model_serving():
    released = []
    reloader = started("a", "b", release=released.append)
    reloader.warm_up = failing(ValueError("NaN"))
    with pytest.raises(ReloadFailed, match="NaN") as failed:
        reloader.reload()
    assert failed.value.stage == "warm_up"
    assert reloader.serve(name_of) == "a"
    assert [model.name for model in released] == ["b"]


def test_a_model_that_is_not_accepted_is_never_warmed_up_or_served():
    warmed = []
    refuse = failing(ValueError("5 classes instead of 10"))
    reloader = started("a", "b", warm_up=lambda model: warmed.append(model.name), accept=refuse)
    with pytest.raises(ReloadFailed, match="5 classes") as failed:
        reloader.reload()
    assert failed.value.stage == "accept"
    assert (reloader.serve(name_of), "b" in warmed) == ("a", False)


def test_a_loader_that_gives_nothing_is_told():
    reloader = started("a")
    with pytest.raises(ReloadFailed, match="None instead of a model"):
        reloader.reload(lambda: None)


def test_a_load_that_hangs_is_left_behind_and_what_it_loads_is_released():
    go, released = threading.Event(), []
    gone = threading.Event()

    def release(model):
        released.append(model.name)
        gone.set()

    def hang():
        assert go.wait(5)
        return Model("late")

    reloader = started("a", "c", load_timeout=0.02, release=release)
    with pytest.raises(ReloadFailed, match=r"not ready within 0.02 s") as failed:
        reloader.reload(hang)
    assert isinstance(failed.value.__cause__, TimeoutError)
    assert reloader.serve(name_of) == "a"
    reloader.load_timeout = 5
    reloader.reload()  # the next one is not held up
    assert reloader.serve(name_of) == "c"
    gone.clear()
    go.set()
    assert gone.wait(5)
    assert released[-1] == "late"
    assert reloader.serve(name_of) == "c"


def test_a_failed_start_can_be_tried_again():
    reloader = HotReloader(failing(ValueError("torn")))
    with pytest.raises(ReloadFailed):
        reloader.start()
    with pytest.raises(RuntimeError, match="call start first"):
        reloader.serve(name_of)
    with pytest.raises(RuntimeError, match="call start first"):
        reloader.reload()
    reloader.loader = lambda: Model("a")
    reloader.start()
    assert reloader.serve(name_of) == "a"
    with pytest.raises(RuntimeError, match="use reload"):
        reloader.start()


def test_a_release_that_fails_fails_nothing(caplog):
    reloader = started("a", "b", release=failing(OSError("gone")))
    reloader.reload()
    assert reloader.serve(name_of) == "b"
    assert "could not be released" in caplog.text


def test_a_stopped_model_is_freed():
    reloader = started("a", "b")
    old = weakref.ref(reloader.serve(lambda model: model))
    reloader.reload()
    gc.collect()
    assert old() is None


@pytest.mark.parametrize("wrong", [{"warmup_steps": -1}, {"drain_timeout": -0.1}, {"load_timeout": 0}])
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        HotReloader(Model, **wrong)


def test_thirty_reloads_under_eight_threads_lose_no_request():
    """Each answer begun after a reload has returned is of that model or a later one."""
    reloader = started(*range(31), drain_timeout=5)
    newest, stop, seen = [0], threading.Event(), []

    def client():
        while not stop.is_set():
            least = newest[0]
            seen.append(reloader.serve(name_of) >= least)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(1, 31):
        reloader.reload()
        newest[0] = number
    stop.set()
    for thread in threads:
        thread.join(5)
    assert len(seen) > 30
    assert all(seen)
    assert reloader.current.in_flight == 0
