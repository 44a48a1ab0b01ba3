import cog


class Predictor(cog.Predictor):
    def setup(self):
        self.table = {"a": "b"}

    @cog.input("text", type=str, help="Text to look up")
    def predict(self, text):
        return self.table[text]
