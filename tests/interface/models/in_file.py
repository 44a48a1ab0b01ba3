from cog import File


def run(file: File) -> str:
    return file.read().decode()
