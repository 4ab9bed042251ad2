"""Two threads take the same two locks, each in another order."""

import threading

accounts = threading.Lock()
journal = threading.Lock()
both_have_one = threading.Barrier(2)


def pay():
    with accounts:
        both_have_one.wait()
        with journal:
            print("paid")


def audit():
    with journal:
        both_have_one.wait()
        with accounts:
            print("audited")


payer = threading.Thread(target=pay, name="payer")
auditor = threading.Thread(target=audit, name="auditor")
payer.start()
auditor.start()
payer.join()
auditor.join()
