def count(word):
    return len(set(word))
