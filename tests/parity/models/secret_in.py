from cog import BasePredictor, Secret


class Predictor(BasePredictor):
    def predict(self, token: Secret) -> str:
        print(token)
        return f"{len(token.get_secret_value())} letters"
