def write(path, value):
    path.write_text(f"value\n{value}\n")
    return path
