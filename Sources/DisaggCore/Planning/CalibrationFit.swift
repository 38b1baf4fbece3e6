#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Finds the cost constants that agree best with measurements and with what is usual.
///
/// Few rows cannot fix fifteen constants, and a plain least-squares fit trades them off against each other into nonsense
/// (weights read at 93 % of the bandwidth, KV at 60 %). So each constant has a prior, its default, with a spread; the sum
/// of squared relative errors, each over the row's own noise, and of squared logarithmic distances from the priors, each
/// over its spread, is made smallest (Gauss-Newton with Levenberg's damping, derivatives by differences).
struct CalibrationFit: Sendable {
    let setup: EngineSetup
    let prior: CostConstants

    private static let parameters = CostConstants.Parameter.allCases

    /// The cost model of the measured engine under some constants.
    func model(_ constants: CostConstants, isEager: Bool) -> CostModel {
        var setup = setup
        setup.isEager = isEager
        return CostModel(setup, constants)
    }

    /// The constants, and the covariance of their logarithms.
    func solve(_ rows: [CalibrationRow]) -> (constants: CostConstants, covariance: [[Double]]) {
        let count = Self.parameters.count
        var logarithms = Array(repeating: 0.0, count: count)
        var errors = residuals(rows, logarithms)
        var damping = 1e-3
        var normal = Array(repeating: Array(repeating: 0.0, count: count), count: count)
        for _ in 0..<60 {
            let jacobian = derivatives(rows, logarithms, errors)
            var gradient = Array(repeating: 0.0, count: count)
            for row in 0..<count {
                for column in 0..<count {
                    normal[row][column] = jacobian.reduce(0) { $0 + $1[row] * $1[column] }
                }
                gradient[row] = zip(jacobian, errors).reduce(0) { $0 + $1.0[row] * $1.1 }
            }
            let before = Self.squares(errors)
            var isImproved = false
            for _ in 0..<12 {
                var damped = normal
                for index in 0..<count { damped[index][index] *= 1 + damping }
                guard let step = Self.solve(damped, gradient) else { break }
                let candidate = zip(logarithms, step).map { min(3, max(-3, $0 - $1)) }
                let candidateErrors = residuals(rows, candidate)
                if Self.squares(candidateErrors) < before {
                    logarithms = candidate
                    errors = candidateErrors
                    damping = max(1e-9, damping / 10)
                    isImproved = true
                    break
                }
                damping *= 10
            }
            guard isImproved, before - Self.squares(errors) > 1e-10 * before else { break }
        }
        return (constants(logarithms), Self.inverse(normal))
    }

    private func constants(_ logarithms: [Double]) -> CostConstants {
        var result = prior
        for parameter in Self.parameters { result[parameter] = prior[parameter] * exp(logarithms[parameter.rawValue]) }
        return result
    }

    private func residuals(_ rows: [CalibrationRow], _ logarithms: [Double]) -> [Double] {
        let constants = constants(logarithms)
        let eager = model(constants, isEager: true)
        let graph = model(constants, isEager: false)
        let fits = rows.map { log($0.predicted(by: $0.isEager ? eager : graph) / $0.milliseconds) / $0.spread }
        return fits + Self.parameters.map { logarithms[$0.rawValue] / $0.spread }
    }

    private func derivatives(_ rows: [CalibrationRow], _ logarithms: [Double], _ errors: [Double]) -> [[Double]] {
        var result = errors.map { _ in Array(repeating: 0.0, count: logarithms.count) }
        for column in logarithms.indices {
            var changed = logarithms
            changed[column] += 1e-4
            for (row, error) in residuals(rows, changed).enumerated() {
                result[row][column] = (error - errors[row]) / 1e-4
            }
        }
        return result
    }

    private static func squares(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 } }

    /// Gauss elimination with pivots; nil for a singular matrix.
    static func solve(_ matrix: [[Double]], _ right: [Double]) -> [Double]? {
        var rows = zip(matrix, right).map { $0 + [$1] }
        let count = rows.count
        for column in 0..<count {
            guard let pivot = (column..<count).max(by: { abs(rows[$0][column]) < abs(rows[$1][column]) }),
                abs(rows[pivot][column]) > 1e-14
            else { return nil }
            rows.swapAt(column, pivot)
            for row in 0..<count where row != column {
                let factor = rows[row][column] / rows[column][column]
                guard factor != 0 else { continue }
                for index in column...count { rows[row][index] -= factor * rows[column][index] }
            }
        }
        return rows.enumerated().map { $1[count] / $1[$0] }
    }

    private static func inverse(_ matrix: [[Double]]) -> [[Double]] {
        let columns = matrix.indices.map { column in
            solve(matrix, matrix.indices.map { $0 == column ? 1 : 0 }) ?? matrix.map { _ in 0 }
        }
        return matrix.indices.map { row in columns.map { $0[row] } }
    }
}
