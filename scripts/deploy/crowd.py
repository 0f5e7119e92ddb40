"""Buyers who buy at a steady pace over connections of their own, and remember what they were told."""

import http.client
import json
import threading
import time
from site_of import PURCHASE

DECIDED = {200, 409, 410, 422}


class Crowd:
    """`buyers` threads that buy from `port` until told to stop; every purchase has a key and is repeated till decided."""

    def __init__(self, port, buyers, sku="1", pause_s=0.02):
        self.port, self.sku, self.pause_s = port, sku, pause_s
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        # (started, status, error) of every attempt that was not decided at once, times by time.time().
        self.undecided = []
        self.orders = {}
        self.answers = {}
        self.given_up = []
        self.threads = [threading.Thread(target=self._buy, args=(number,), daemon=True) for number in range(buyers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Lets every buyer finish the purchase it is at."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)

    def _ask(self, connection, body):
        headers = {"content-type": "application/json"}
        try:
            connection.request("POST", PURCHASE, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            return 0, {"error": repr(error)}

    def _buy(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        turn = 0
        while not self.stopping.is_set():
            turn += 1
            user = 1_000_000 + number * 10_000 + turn
            key = f"crowd-{self.sku}-{number}-{turn}"
            body = json.dumps({"userId": str(user), "skuId": self.sku, "idempotencyKey": key})
            for _ in range(900):
                started = time.time()
                status, answer = self._ask(connection, body)
                with self.lock:
                    self.answers[status] = self.answers.get(status, 0) + 1
                    if status == 200:
                        self.orders[key] = answer["orderId"]
                    if status not in DECIDED:
                        self.undecided.append((started, status, answer.get("error")))
                if status in DECIDED:
                    break
                time.sleep(0.1)
            else:
                with self.lock:
                    self.given_up.append(key)
            time.sleep(self.pause_s)
        connection.close()
