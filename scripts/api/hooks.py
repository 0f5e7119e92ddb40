"""What schemathesis cannot know of itself: how webhooks are signed, what is on sale, and two rules that no schema can say."""

import hashlib
import hmac
import os
import re
import time

import schemathesis
from requests.auth import AuthBase

SECRET = os.environ["FLASH_WEBHOOK_SECRET"].encode()
WEBHOOK = "/api/v1/flash/payments/webhook"
PURCHASE = "/api/v1/flash/purchase"
SIGN = "to be signed"
KEY = re.compile(r"[!-~]{1,128}")


@schemathesis.auth().apply_to(path=WEBHOOK)
class Provider:
    """A provider knows the secret. The signature is over the bytes that are sent, so it is made when they are."""

    def get(self, case, context):
        return SIGN

    def set(self, case, data, context):
        case.headers["Flash-Signature"] = data


class Signed(AuthBase):
    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        at = str(int(time.time()))
        digest = hmac.new(SECRET, at.encode() + b"." + body, hashlib.sha256).hexdigest()
        request.headers["Flash-Signature"] = f"t={at},v1={digest}"
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.headers or {}
    if headers.get("Flash-Signature") == SIGN:
        kwargs["auth"] = Signed()
    if case.path == PURCHASE and isinstance(case.body, dict):
        # A key in the header and another in the body is 400, which no schema can say. One of two good ones is enough.
        both = headers.get("Idempotency-Key"), case.body.get("idempotencyKey")
        if all(isinstance(key, str) and KEY.fullmatch(key) for key in both):
            del case.headers["Idempotency-Key"]


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    # JSON Schema takes 1.0 for an integer; this API takes one spelling per number, on purpose.
    body = {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in body.items()}
    # Random ids are never on sale, random amounts are no price: half of the time the ones that are.
    sku, amount = body.get("skuId"), body.get("amount")
    if isinstance(sku, str) and sku.isascii() and sku.isdigit() and sku[0] != "0" and len(sku) < 19 and int(sku) % 2:
        body["skuId"] = str(1 + int(sku) % 3)
    if isinstance(amount, int) and not isinstance(amount, bool) and 0 <= amount <= 10**12 and amount % 2:
        body["amount"] = 4900
    return body
