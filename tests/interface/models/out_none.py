def run() -> None:
    print("nothing comes back")
