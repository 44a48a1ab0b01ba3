import cog


class Model(cog.Model):
    def setup(self):
        self.table = {}

    @cog.input("text", type=str, help="Text to look up")
    def predict(self, text):
        return self.table[text]
