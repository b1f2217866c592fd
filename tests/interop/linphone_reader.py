"""A person at Linphone who writes, gets an answer and reads it: the library that its console client is made with, which
can do what that client has no command for.

usage: linphone_reader.py SETTINGS ADDRESS TEXT    shows that somebody is writing, writes TEXT, marks what comes as read;
its log, with every message it sent and got, is its output
"""

import ctypes
import ctypes.util
import sys
import time

# Messages, warnings, errors.
LOG_LEVELS = 0x1C
REGISTERS_S = 3
WRITES_S = 1
ANSWER_S = 6
READS_S = 3

library = ctypes.CDLL(ctypes.util.find_library("linphone"))


def do(name, *arguments):
    function = library[f"linphone_{name}"]
    function.restype = ctypes.c_void_p
    # What is an int here is a pointer there, but for levels.
    return function(*(ctypes.c_void_p(one) if isinstance(one, int) else one for one in arguments))


def main(settings, address, text):
    library.linphone_core_set_log_level_mask(ctypes.c_uint(LOG_LEVELS))
    factory = do("factory_get")
    core = do("factory_create_core_3", factory, settings.encode(), None, None)
    do("core_start", core)

    def wait(seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            do("core_iterate", core)
            time.sleep(0.02)

    wait(REGISTERS_S)
    room = do("core_get_chat_room", core, do("factory_create_address", factory, address.encode()))
    do("chat_room_compose", room)
    wait(WRITES_S)
    message = do("chat_room_create_message_from_utf8", room, text.encode())
    do("chat_message_send", message)
    wait(ANSWER_S)
    do("chat_room_mark_as_read", room)
    wait(READS_S)
    do("core_stop", core)
    wait(1)
    print("linphone_reader.py is over", flush=True)


main(*sys.argv[1:])
