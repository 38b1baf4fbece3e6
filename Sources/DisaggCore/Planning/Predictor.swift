/// Answers single questions about one kind of engine, each with a range and a basis.
public struct Predictor: Sendable {
    /// The engine.
    public let setup: EngineSetup
    /// Its cost model.
    public let model: CostModel
    /// The measurements behind the constants; nil where the general ones are used.
    public let calibration: Calibration?
    /// Whether the calibration measured this very model.
    private let isSameModel: Bool

    /// Creates a predictor.
    ///
    /// - Parameter calibration: a calibration of the same GPU; without one the constants are general.
    public init(_ setup: EngineSetup, calibration: Calibration?) {
        self.setup = setup
        self.calibration = calibration
        model = CostModel(setup, calibration?.constants ?? CostConstants(for: setup.gpu))
        isSameModel =
            calibration.map { $0.setup.shape == setup.shape && $0.setup.tensorParallel == setup.tensorParallel }
            ?? false
    }

    /// Relative standard deviation that is assumed where nothing was measured: bands of ±15 % for steps and ±20 % for
    /// times to the first token, as they were met on public measurements.
    private static let generalStep = 0.091
    private static let generalPrompt = 0.12
    /// A calibration of another model or rank count says less.
    private static let otherModel = 0.08
    /// Formulas that no measurement has confirmed: ±50 %.
    private static let unvalidated = 0.25

    private func deviation(isPrompt: Bool, _ predict: (CostModel) -> Double) -> Double {
        if setup.unvalidatedReason != nil { return Self.unvalidated }
        guard let calibration else { return isPrompt ? Self.generalPrompt : Self.generalStep }
        let noise = calibration.noise(isPrompt: isPrompt, isEager: setup.isEager)
        let doubt = calibration.uncertainty { predict(CostModel(setup, $0)) }
        let other = isSameModel ? 0 : Self.otherModel
        return (noise * noise + doubt * doubt + other * other).squareRoot()
    }

    /// What predictions for this engine rest on.
    public var basis: String {
        let mode = setup.isEager ? "eager" : "CUDA graphs"
        var text: String
        if let calibration {
            let rows = calibration.file.rows.count
            let error = DecimalText.fixed(100 * calibration.meanLeftOutError, 1)
            text =
                "calibrated on \(rows) measurements (\(calibration.file.source)); leave-one-out error \(error) % in the mean"
            if !isSameModel { text += "; another model or rank count than measured" }
        } else {
            text = "roofline of \(setup.gpu.name) with general constants, not calibrated on this GPU"
        }
        if let reason = setup.unvalidatedReason { text += "; unvalidated: \(reason), so the range is ±50 %" }
        return "\(mode), \(text)"
    }

    /// Milliseconds from sending one prompt to an idle engine to its first token, over HTTP.
    public func prompt(tokens: Int) -> Prediction {
        let deviation = deviation(isPrompt: true) { $0.promptMilliseconds(tokens: tokens) }
        return Prediction(model.promptMilliseconds(tokens: tokens), deviation: deviation, basis: basis)
    }

    /// Milliseconds between tokens with `batch` requests running, each with `context` KV tokens.
    public func step(batch: Int, context: Int) -> Prediction {
        let deviation = deviation(isPrompt: false) { $0.decodeMilliseconds(batch: batch, context: context) }
        return Prediction(
            model.decodeMilliseconds(batch: batch, context: context), deviation: deviation, basis: basis)
    }

    /// Relative deviation of the mean times to the first and between tokens of a whole deployment.
    func servingDeviation(input: Int, batch: Int, context: Int) -> (ttft: Double, tpot: Double) {
        let prompt = deviation(isPrompt: true) { $0.promptMilliseconds(tokens: input) }
        let step = deviation(isPrompt: false) { $0.decodeMilliseconds(batch: batch, context: context) }
        // Queues and hand-offs add doubt of their own.
        return ((prompt * prompt + 0.05 * 0.05).squareRoot(), (step * step + 0.05 * 0.05).squareRoot())
    }
}
