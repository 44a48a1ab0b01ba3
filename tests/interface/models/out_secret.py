from cog import Secret


def run(key: Secret) -> Secret:
    return key
