"""Whether every example of an OpenAPI document is what its schema says."""

import json
import sys

from jsonschema import Draft202012Validator


def examples(document):
    """Where, schema and value of each."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            parts = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for part, body in parts.items():
                for content in body.get("content", {}).values():
                    values = [content["example"]] if "example" in content else []
                    values += [example["value"] for example in content.get("examples", {}).values()]
                    for value in values:
                        yield f"{method} {path} {part}", content["schema"], value


def main():
    document = json.load(open(sys.argv[1], encoding="utf-8"))
    found, bad = 0, 0
    for where, schema, value in examples(document):
        found += 1
        for error in Draft202012Validator({**schema, "components": document["components"]}).iter_errors(value):
            bad += 1
            print(f"{where}: {error.message}")
    print(f"{found} examples, {bad} of them not what their schemas say")
    sys.exit(1 if bad or not found else 0)


main()
