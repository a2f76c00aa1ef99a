"""Runs playbooks with ansible-core, each in a fork of a process that has it loaded: a JSON request and answer a line.

Run by the interpreter that ansible-core is installed for; the callback in `callbacks/` writes the results.
"""

import json
import os
import sys
import traceback

os.environ["ANSIBLE_CALLBACK_PLUGINS"] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "callbacks")
os.environ["ANSIBLE_STDOUT_CALLBACK"] = "peer_trace"
os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "false"
os.environ["ANSIBLE_PIPELINING"] = "true"
os.environ["ANSIBLE_LOCALHOST_WARNING"] = "false"


def run(folder, words, out):
    from ansible.cli.playbook import PlaybookCLI

    os.chdir(folder)
    with open(out, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    cli = PlaybookCLI(["ansible-playbook", *words])
    cli.parse()
    return cli.run()


def code_of(error):
    """Give the exit code that the command would have ended with."""
    return getattr(error, "exit_code", None) or getattr(error, "_exit_code", None) or 250


def forked(request):
    child = os.fork()
    if not child:
        code = 250
        os.setsid()  # what it signals to its group when it gives up must not end this process
        try:
            os.environ["TRACE_FILE"] = request["trace"]
            code = run(request["folder"], request["words"], request["out"])
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException as error:  # noqa: BLE001 - whatever ends it is its answer
            traceback.print_exc()
            code = int(code_of(error))
        sys.stdout.flush()
        os._exit(int(code))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    import ansible.cli.playbook
    import ansible.executor.playbook_executor
    import ansible.plugins.strategy.linear  # noqa: F401 - loaded before the forks

    for line in sys.stdin:
        print(forked(json.loads(line)), flush=True)
