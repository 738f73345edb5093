"""Signals that ask to stop: the first is noted, the second is obeyed."""

import os
import signal
import threading

import pytest

from digitnet.training.progress import STOP_SIGNALS, collect_signals


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_is_noted_and_the_second_obeyed(number):
    before = [signal.getsignal(each) for each in STOP_SIGNALS]
    with collect_signals() as received:
        os.kill(os.getpid(), number)
        assert received == [number]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == before


def test_other_threads_than_the_main_one_change_no_handler():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with collect_signals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
