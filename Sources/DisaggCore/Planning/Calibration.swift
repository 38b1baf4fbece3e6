/// A machine's cost constants, found from its measurements, and how far they can be trusted.
public struct Calibration: Sendable {
    /// The measurements.
    public let file: CalibrationFile
    /// The engine that was measured, with CUDA graphs.
    public let setup: EngineSetup
    /// The constants found.
    public let constants: CostConstants
    /// How each row is met.
    public let residuals: [Residual]
    /// Covariance of the logarithms of the constants, by row and column of `CostConstants.Parameter`.
    let covariance: [[Double]]

    /// One row against the model.
    public struct Residual: Sendable, Hashable {
        /// The measurement.
        public var row: CalibrationRow
        /// What the model says after the fit to all rows, in ms.
        public var fitted: Double
        /// What it says after a fit to all rows but this one, in ms.
        public var leftOut: Double

        /// Relative error of the fit.
        public var fitError: Double { fitted / row.milliseconds - 1 }
        /// Relative error without the row.
        public var leftOutError: Double { leftOut / row.milliseconds - 1 }
    }

    /// Fits the constants to all rows, and again without each.
    ///
    /// - Parameters:
    ///   - file: the measurements.
    ///   - shape: the measured model.
    ///   - gpu: the measured GPU.
    public init(_ file: CalibrationFile, shape: ModelShape, gpu: GPUModel) {
        self.file = file
        var setup = EngineSetup(shape: shape, gpu: gpu, tensorParallel: file.tensorParallel)
        setup.isEager = false
        self.setup = setup
        let fit = CalibrationFit(setup: setup, prior: CostConstants(for: gpu))
        let (constants, covariance) = fit.solve(file.rows)
        self.constants = constants
        self.covariance = covariance
        residuals = file.rows.indices.map { index in
            let row = file.rows[index]
            // A prompt's time is also in the first-token row of the same name; both are left out together.
            let others = file.rows.filter { $0 != row }
            let without = fit.solve(others).constants
            return Residual(
                row: row, fitted: row.predicted(by: fit.model(constants, isEager: row.isEager)),
                leftOut: row.predicted(by: fit.model(without, isEager: row.isEager)))
        }
    }

    /// Root mean square of the fit's relative errors over rows alike, but no less than the rows' own noise.
    ///
    /// - Parameters:
    ///   - isPrompt: prompts or decode steps.
    ///   - isEager: rows of which mode.
    func noise(isPrompt: Bool, isEager: Bool) -> Double {
        let alike = residuals.filter { residual in
            let isPromptRow = if case .prompt = residual.row.kind { true } else { false }
            // A single prompt without a warm-up says little about the model.
            return isPromptRow == isPrompt && residual.row.isEager == isEager
                && (residual.row.count > 1 || !isPromptRow)
        }
        guard !alike.isEmpty else { return 0.15 }
        let mean = alike.reduce(0) { $0 + $1.fitError * $1.fitError } / Double(alike.count)
        return max(0.03, mean.squareRoot())
    }

    /// Mean of the absolute leave-one-out errors; by-products of other rows do not count.
    public var meanLeftOutError: Double {
        let counted = residuals.filter { !$0.row.isDerived }
        return counted.reduce(0) { $0 + abs($1.leftOutError) } / Double(max(1, counted.count))
    }

    /// Relative standard deviation that the constants' uncertainty leaves in a prediction.
    ///
    /// - Parameter predict: the prediction under given constants.
    func uncertainty(_ predict: (CostConstants) -> Double) -> Double {
        let base = predict(constants)
        guard base > 0 else { return 0 }
        let gradient = CostConstants.Parameter.allCases.map { parameter -> Double in
            var changed = constants
            changed[parameter] *= 1.01
            return (predict(changed) / base - 1) / 0.01
        }
        var variance = 0.0
        for (row, left) in gradient.enumerated() {
            for (column, right) in gradient.enumerated() { variance += left * covariance[row][column] * right }
        }
        return max(0, variance).squareRoot()
    }
}
