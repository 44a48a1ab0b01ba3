from .options import LETTERS


class Finder:
    def __init__(self, checkpoint):
        with open(checkpoint) as file:
            self.words = file.read().split()

    def find(self, word):
        return [found for found in self.words if found != word and found[-LETTERS:] == word[-LETTERS:]]
