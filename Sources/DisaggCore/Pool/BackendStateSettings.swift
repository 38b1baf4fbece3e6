package import NIOCore

/// What a backend is judged and limited by.
package struct BackendStateSettings: Sendable {
    /// How long a backend that refused a connection is left out where nobody checks its health.
    package static let ejection = TimeAmount.seconds(1)

    package var healthInterval = Duration.zero
    package var unhealthyAfter = 2
    package var breaker = BreakerSettings()
    package var slowStart = Duration.zero
    /// 0 for no limit.
    package var maximumInFlight = 0

    package init() {}

    /// The settings of a role.
    package init(_ routing: RoutingSettings, role: BackendRole) {
        healthInterval = routing[role].healthInterval
        unhealthyAfter = routing[role].unhealthyAfter
        breaker = routing.breaker
        slowStart = routing.slowStart
        maximumInFlight = routing[role].maximumInFlight
    }
}
