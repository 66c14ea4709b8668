import os


def handler(event, context):
    print("heard", event.get("text"))
    if event.get("fail"):
        raise ValueError("as you wish")
    if event.get("leave"):
        os._exit(3)
    return {"version": context.function_version, "said": event.get("text"), "stage": os.environ.get("STAGE")}
